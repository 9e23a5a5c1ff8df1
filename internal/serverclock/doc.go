// Package serverclock knows a server's time without asking for it each time.
package serverclock
