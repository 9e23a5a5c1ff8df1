// Package console shows people how far a command is that takes a while: lines, and below them a bar
// where there is a terminal.
package console
