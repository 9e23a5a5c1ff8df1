// Command worker publishes lines as events, and runs a command once for each event. It runs on
// Unix; commands are run on Linux.
//
// See worker --help, and package worker for what is promised.
package main
