//! bartizan-engine
