// typage.mjs encrypt RECIPIENT IN OUT...
// typage.mjs decrypt KEYFILE IN OUT...
// Imports age-encryption from the folder it lies in: it is copied beside node_modules. Pairs of files, since
// most of the time is Node's start.
import { readFileSync, writeFileSync } from "node:fs";
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto; // Node 18 has it, under this name only
const { Decrypter, Encrypter } = await import("age-encryption");

const [mode, key, ...files] = process.argv.slice(2);
const age = mode === "encrypt" ? new Encrypter() : new Decrypter();
if (mode === "encrypt") {
	age.addRecipient(key);
} else {
	age.addIdentity(readFileSync(key, "utf8").match(/^AGE-SECRET-KEY-1\S+/m)[0]);
}
for (let i = 0; i < files.length; i += 2) {
	const input = new Uint8Array(readFileSync(files[i]));
	writeFileSync(files[i + 1], mode === "encrypt" ? await age.encrypt(input) : await age.decrypt(input));
}
