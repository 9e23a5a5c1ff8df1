// Package journal keeps what worker processes did in a file that neither the bus nor the store
// knows of, and counts from it what was lost and what was repeated, and why.
//
// Workers append a [Record] for each effect, and for what they learn of its mark. A [Tally] reads
// them. A repeat is explained if an earlier effect of the event was made by a process that was
// killed before it knew the mark to be stored, or whose claim was lost. Each such effect explains
// one repeat, and none that was made before the kill. A kill explains at most as many repeats as
// its process may have started and not marked: its concurrency.
//
// The times of records and kills are those of the machine's clock, which must not be set meanwhile.
package journal
