// Package plaintext decides what becomes of connections without TLS: those within this machine are
// fine, others are logged as a warning, or refused where the policy is strict.
package plaintext
