// Package faulty makes calls to a bus or a store go wrong, for tests: they fail, take long, or are
// done and yet answered with an error. What goes wrong is a Plan; the wrapped bus and store know
// nothing of it.
package faulty
