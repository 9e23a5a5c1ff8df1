// Package deferral lets the first events of a key run at once, and sums up the others.
package deferral
