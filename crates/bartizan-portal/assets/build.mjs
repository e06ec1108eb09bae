// Builds what the console loads in the browser: src/ and the pinned packages -> dist/.
//
// Run as `npm ci --ignore-scripts && node build.mjs`. Needs node alone; writes the same octets for
// the same input. A file is named `<name>.<hash of its content>.<extension>`, so that a browser may
// keep it for ever, and stands there three times: plain, gzip and brotli. `manifest.json`, written
// last, maps the plain names to the hashed ones: while it is there, dist/ is whole.

import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const source = (name) => readFile(join(here, "src", name), "utf8");
const vendored = (path) => readFile(join(here, "node_modules", path), "utf8");

// The icons that templates name, from Tabler's outline set.
const ICONS = [
  "alert-circle", "alert-octagon", "alert-triangle", "arrow-back-up", "arrow-left", "ban", "bell",
  "chevron-right", "chevrons-left", "circle-check", "circle-dashed", "circle-dot", "clock",
  "device-desktop", "device-mobile", "devices", "download", "eye", "hourglass-off", "info-circle",
  "key", "keyboard", "lock", "logout", "moon", "plus", "progress", "refresh", "rss", "search",
  "shield", "shield-check", "shield-half", "shield-off", "stack", "sun", "target", "trash", "upload", "user",
  "x", "zzz",
  // Of the menu.
  "address-book", "bell-off", "category", "device-mobile-plus", "history", "id-badge-2", "layout-dashboard", "license",
  "menu-2", "message", "message-plus", "radar", "send", "users", "users-group",
];

// Styles lose comments, indentation and pointers to maps; the compression does the rest.
const smallerCss = (css) =>
  css.replace(/\/\*(?!!)[^]*?\*\//g, "").replace(/^\s+/gm, "").replace(/\n+/g, "\n");

// One SVG with a <symbol> for each icon, for <use href="…#bell">.
async function sprite() {
  const symbols = await Promise.all(
    ICONS.map(async (name) => {
      const svg = await vendored(`@tabler/icons/icons/outline/${name}.svg`);
      const shapes = svg
        .replace(/<!--[^]*?-->/g, "")
        .replace(/^[^]*?<svg[^>]*>/, "")
        .replace("</svg>", "")
        .replace(/<path stroke="none" d="M0 0h24v24H0z" fill="none" \/>/, "")
        .replace(/\s*\n\s*/g, "");
      return (
        `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" ` +
        `stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${shapes}</symbol>`
      );
    }),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`;
}

const files = {
  "console.css": smallerCss(await source("console.css")),
  "console.js": await source("console.js"),
  "favicon.svg": await source("favicon.svg"),
  "htmx.js": await vendored("htmx.org/dist/htmx.min.js"),
  "icons.svg": await sprite(),
  "passkey.js": await source("passkey.js"),
  "tabler.css": smallerCss(await vendored("@tabler/core/dist/css/tabler.min.css")),
  "theme.js": await source("theme.js"),
};

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
const manifest = {};
for (const [name, text] of Object.entries(files)) {
  const octets = Buffer.from(text);
  const hash = createHash("sha256").update(octets).digest("hex").slice(0, 16);
  const dot = name.lastIndexOf(".");
  const hashed = `${name.slice(0, dot)}.${hash}${name.slice(dot)}`;
  const brotli = brotliCompressSync(octets, {
    params: { [constants.BROTLI_PARAM_SIZE_HINT]: octets.length },
  });
  await writeFile(join(dist, hashed), octets);
  await writeFile(join(dist, `${hashed}.gz`), gzipSync(octets, { level: 9 }));
  await writeFile(join(dist, `${hashed}.br`), brotli);
  manifest[name] = hashed;
  console.log(`${hashed}  ${octets.length} octets, ${brotli.length} as brotli`);
}
await writeFile(join(dist, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
