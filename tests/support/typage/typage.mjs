// typage.mjs encrypt RECIPIENT <PLAIN >FILE
// typage.mjs decrypt KEYFILE <FILE >PLAIN
// Imports age-encryption from the folder it lies in: it is copied beside node_modules.
import { readFileSync, writeFileSync } from "node:fs";
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto; // Node 18 has it, under this name only
const { Decrypter, Encrypter } = await import("age-encryption");

const [mode, key] = process.argv.slice(2);
const input = new Uint8Array(readFileSync(0));
let output;
if (mode === "encrypt") {
	const encrypter = new Encrypter();
	encrypter.addRecipient(key);
	output = await encrypter.encrypt(input);
} else {
	const decrypter = new Decrypter();
	decrypter.addIdentity(readFileSync(key, "utf8").match(/^AGE-SECRET-KEY-1\S+/m)[0]);
	output = await decrypter.decrypt(input);
}
writeFileSync(1, output);
