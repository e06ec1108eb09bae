//! bartizan-portal
