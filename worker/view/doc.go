// Package view is how programs are shown what there is of groups, dead letters and outboxes: by the
// command with -o json, and by the HTTP API. Times are RFC 3339 in UTC, empty where they are not
// known. Sequences and tokens are text, because they have 64 bits.
package view
