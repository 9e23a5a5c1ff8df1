// Package shell writes command lines for people to run.
package shell
