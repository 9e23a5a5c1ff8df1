// Package procstat measures the CPU time and the resident memory of processes.
//
// [Read] reads those of one process now. A [Sampler] reads those of several at an interval, and
// returns them as lines for a report: CPU in percent of one core, memory in MiB. Processes may come
// and go meanwhile: a line has a gap while its process is gone.
//
// The numbers are Linux's, from /proc. They do not include child processes. CPU time is counted in
// ticks of usually 10 ms: at an interval of 500 ms, a value is a multiple of 2 %. On other systems
// nothing is measured: Read says so with an error, and a Sampler logs it once.
package procstat
