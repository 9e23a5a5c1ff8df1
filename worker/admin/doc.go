// Package admin is an HTTP API for operators: what groups do and wait for, their pauses, dead
// letters and outboxes, what is stored on a topic, and what became of one event. It does what the
// command does, and composes the same packages.
//
//	options := &admin.Options{Token: token, Hosts: []string{"billing.example"}}
//	api, err := admin.New(connections, options)
//	mux.Handle("/admin/", api.Handler("/admin"))
//
// A service of its own listens by API.Listen. The description of all paths, parameters and answers
// (OpenAPI 3.1) is served under /openapi.json; docs/api.md is made of it. Errors are problems as in
// RFC 9457. Sequences and revisions, which have 64 bits, are text. Payloads of events are shown
// only to who asks for them.
//
// # Who may use it
//
// Without Options.Token everybody who reaches the handler may: Listen refuses that unless the
// address is of this machine alone, or clients show a certificate. A request must name one of the
// known hosts, so a page of another site cannot reach a server on the reader's own machine by a
// name of its own. Changes are made by POST, PATCH and DELETE alone, with a body in JSON, and not
// from pages of other sites; there are no headers for CORS. Each is logged, with who made it, why,
// and what became of it.
//
// What a request may take is bounded: its headers, body and time, how many are worked on at once,
// and how large a page is. A client that is slow to send or to read keeps no other one waiting.
//
// A change with an Idempotency-Key is made once within what this process keeps of answers: a
// thousand of them, for a day.
//
// # Delivery semantics
//
// A change has the promises of what it calls, and may be repeated as that may be: pauses those of
// package group, dead letters those of package deadletter. A bulk change goes on in this process
// after its request was answered (202), until it is done, is cancelled, or the API is closed; then
// it ends between two batches, and is to be repeated. What is known of it is gone with the process.
package admin
