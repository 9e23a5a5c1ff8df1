// Package commandline has what the command lines of worker processes share: output, logging,
// checks of flags.
package commandline
