// Package otlptest has a receiver of spans and metrics, as they are sent by OTLP over HTTP.
package otlptest
