// Package otlptest has a receiver of spans, as they are sent by OTLP over HTTP.
package otlptest
