// Package mongo keeps dedupe state in MongoDB.
package mongo
