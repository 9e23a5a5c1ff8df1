// Package kv keeps dedupe state in a JetStream key-value bucket: durable without a second server.
package kv
