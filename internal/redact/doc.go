// Package redact keeps secrets out of what people are shown.
package redact
