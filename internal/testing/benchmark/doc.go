// Package benchmark measures whole paths, from JetStream through a store to the acknowledgement,
// each against a baseline that is measured in the same run: go test -run '^$' -bench . -benchtime
// 10x ./internal/testing/benchmark. It has benchmarks only. What is compared with a loop over the
// plain clients is measured by worker bench --baseline.
package benchmark
