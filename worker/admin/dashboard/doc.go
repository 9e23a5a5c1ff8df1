// Package dashboard is the page on which operators see and do in a browser what the HTTP API of
// package admin offers: groups and their processes, dead letters, outboxes, the story of an event.
// Package admin serves it on the path / beside the API.
//
// The page is made of files that are embedded in the program. It asks for nothing but them and the
// API it comes from, and its Content-Security-Policy forbids everything else: no script, style or
// handler stands in the page itself, and text never becomes markup. The files have nothing of what
// the API knows, and are served without a token. The page asks for the token once, keeps it in
// the sessionStorage of its tabs, and sends it with each request, so that neither a request of
// another site nor another server on the same host has it.
package dashboard
