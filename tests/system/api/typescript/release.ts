// Lists the held requests and releases one, with the types that openapi-typescript generated.

import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

declare const process: { argv: string[] };

const [baseUrl, token] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

const held = await client.GET("/requests", { params: { query: { state: "held" } } });
if (!held.data) throw new Error(held.error.title);
const request = held.data.items[0].id;
const path = { request };

const released = await client.POST("/requests/{request}/release", {
  params: { path, header: { "Idempotency-Key": "two" } },
});
if (!released.data) throw new Error(released.error.title);
const again = await client.POST("/requests/{request}/release", { params: { path } });
const unknown = await client.GET("/requests/{request}", {
  params: { path: { request: "00000000000000000000000000" } },
});
const raw = await client.GET("/requests/{request}/raw", { params: { path }, parseAs: "text" });

console.log(
  JSON.stringify({
    held: held.data.items.length,
    sender: held.data.items[0].account,
    id: released.data.id,
    state: released.data.state,
    again: again.error?.type,
    unknown: unknown.error?.type,
    raw: raw.data,
  }),
);
