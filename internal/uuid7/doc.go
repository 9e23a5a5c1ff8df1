// Package uuid7 makes UUIDs of version 7, which sort by their time.
package uuid7
