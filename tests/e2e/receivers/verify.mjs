// Verifies deliveries the way receivers do. Standard input: JSON lines of {secret, headers, body};
// standard output: a JSON line for each, saying what failed ("" is fine).
import { createHmac } from "node:crypto";
import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";

const hex = (secret, text) => createHmac("sha256", secret).update(text, "utf8").digest("hex");

function check({ secret, headers, body }) {
  const stamp = headers["x-webhook-timestamp"];
  if (hex(secret, `${stamp}.${body}`) !== headers["x-webhook-signature"])
    return "X-Webhook-Signature over the body as received";
  const again = JSON.stringify(JSON.parse(body));
  if (again !== body) return `re-serialised: ${again}`;
  if (hex(secret, `${stamp}.${again}`) !== headers["x-webhook-signature"])
    return "X-Webhook-Signature over the re-serialised body";
  try {
    new Webhook(secret).verify(body, headers);
  } catch (error) {
    return `standardwebhooks: ${error.message}`;
  }
  return "";
}

for await (const line of createInterface({ input: process.stdin }))
  console.log(JSON.stringify(check(JSON.parse(line))));
