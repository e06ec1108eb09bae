// Passkeys: a form with data-passkey first has the browser answer the portal's question, which it gets from that path,
// and is then sent as any other; data-back is the page to begin again at. Octets travel as Base64url.
(() => {
  "use strict";
  const octets = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

  const named = (list) => list.map((one) => ({ ...one, id: octets(one.id) }));

  async function create(asked) {
    const made = await navigator.credentials.create({
      publicKey: {
        ...asked,
        challenge: octets(asked.challenge),
        user: { ...asked.user, id: octets(asked.user.id) },
        excludeCredentials: named(asked.excludeCredentials),
      },
    });
    const { response } = made;
    return {
      clientData: text(response.clientDataJSON),
      attestationObject: text(response.attestationObject),
      transports: response.getTransports ? response.getTransports() : [],
    };
  }

  async function get(asked) {
    const shown = await navigator.credentials.get({
      publicKey: {
        ...asked,
        challenge: octets(asked.challenge),
        allowCredentials: named(asked.allowCredentials),
      },
    });
    const { response } = shown;
    return {
      id: text(shown.rawId),
      clientData: text(response.clientDataJSON),
      authenticatorData: text(response.authenticatorData),
      signature: text(response.signature),
      userHandle: response.userHandle ? text(response.userHandle) : null,
    };
  }

  // By the names of WebAuthn's errors.
  const SENTENCES = {
    AbortError: "That was interrupted. Try again.",
    InvalidStateError: "This authenticator holds a passkey of yours already.",
    NotAllowedError: "No passkey was shown, or it took too long. Try again.",
    NotSupportedError: "This authenticator cannot make a passkey that is known here.",
    SecurityError: "Passkeys do not work at this address of the portal.",
  };

  async function answer(form) {
    const reply = await fetch(form.dataset.passkey, { method: "POST", headers: { accept: "application/json" } });
    if (!reply.ok) {
      // Signed out, or too late: the page that comes then says so.
      if (reply.status !== 409 && reply.status < 500) return location.assign(form.dataset.back);
      throw new Error(reply.status === 409 ? "SecurityError" : "");
    }
    const asked = await reply.json();
    const told = asked.create ? await create(asked.create) : await get(asked.get);
    form.elements.answer.value = JSON.stringify(told);
    form.submit();
  }

  // Browsers have them at a name only, and where nobody listens.
  const isAddress = /^[\d.]+$|^\[/.test(location.hostname);
  const canUse = Boolean(window.PublicKeyCredential) && isSecureContext && !isAddress;

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const say = form.querySelector("[data-say]");
    const button = form.querySelector("button[type=submit]");
    if (!canUse) {
      button.disabled = true;
      say.classList.replace("field-error", "form-hint");
      say.textContent = isAddress || !isSecureContext
        ? "Passkeys work only where the portal is opened by its name, with HTTPS."
        : "This browser has no passkeys.";
      continue;
    }
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (button.disabled) return;
      button.disabled = true;
      say.textContent = "";
      try {
        await answer(form);
      } catch (error) {
        const name = error instanceof DOMException ? error.name : error.message;
        say.textContent = SENTENCES[name] ?? "The portal did not answer as it should. Try again.";
        button.disabled = false;
      }
    });
    // Back from the browser's cache, where it waited for an answer.
    addEventListener("pageshow", () => (button.disabled = false));
  }
})();
