// Package sizing estimates what marks, rows of an outbox and dead letters take: on disk, in indexes
// and in memory. Its figures are those of its own benchmarks, and a test compares them:
//
//	go test -run '^$' -bench Bytes -benchtime 200000x ./internal/sizing
package sizing
