// Package http has a handler that posts events to an HTTP service.
//
// # Delivery semantics
//
// What the service does is an effect of the kind "anything": no two unexpired leases of an event,
// and never again once its success is marked. When the worker dies after the effect and before the
// mark, the event is posted again with the same Idempotency-Key.
//
// # Requests and answers
//
// [Handler] posts an event to a URL as a CloudEvent in binary mode: the data is the body,
// Content-Type the event's (application/octet-stream if it has none), and the rest is
// said in headers:
//
//	ce-specversion ce-id ce-source ce-type   always
//	ce-time ce-partitionkey                  when it happened, what orders it; if known
//	Idempotency-Key                          the same in every attempt, in quotes (RFC 8941)
//	Onceish-Topic Onceish-Group              where it was published, who handles it
//	Onceish-Attempt                          1, then one more for each run that failed
//
// Text in them is percent-encoded, as CloudEvents over HTTP has it: space, '"', '%' and what is not
// printable ASCII. Of the event's own headers a service gets trace context, Content-Encoding,
// Content-Language, CloudEvents extensions, Onceish's own about dead letters, and those in
// Options.PassHeaders, which can name none that belongs to the connection, authorizes, routes,
// or says who is asking. Configured headers win over the event's.
//
// The status is the answer, whatever becomes of the body: 2xx done; 429, and 503 with Retry-After,
// throttled; 401, 403, 404 and 405 refused, which is consumer.Unavailable and, if it is the event's
// own, consumer.Permanent; 407, 408, 502, 503, 504 and 520 to 530 unavailable; 409, 425 and other
// 5xx try again, not before Retry-After (seconds or a date; at most 1 h, and at least 1 s, doubling
// with each attempt to 5 min); 410 gone, as below; any other 4xx never try again. Redirects are not
// followed. They, any other status, and no answer at all are unavailable. Options.Statuses says
// what else a status means. The start of the body (1 KiB) is the reason. Of an answer no more than
// 64 KiB of headers and 64 KiB of body are read, and after the headers for no more than 200 ms.
//
// A run sends one request. A connection is kept for 1 s, so that a request hardly ever meets a
// server that is just closing it; where it does, the next attempt sends it again. HTTP_PROXY,
// HTTPS_PROXY and NO_PROXY are honoured.
//
// # Webhooks
//
// With Options.SigningSecrets or SigningSecretFiles each request is signed as Standard Webhooks has
// it: webhook-id is the idempotency key, webhook-timestamp the time of the attempt in seconds, and
// webhook-signature has one signature of id, timestamp and body for each secret. Other headers are
// not signed.
//
// An endpoint that answers 410 is gone for good: Options.OnGone stops what posts there, once for
// all runs that find it gone at the same time, and no attempt is counted.
//
// With PublicAddresses no connection is made to an address inside of a network. The address is
// checked when it is dialled, so that a name cannot resolve to another one in between.
package http
