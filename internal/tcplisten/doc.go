// Package tcplisten opens addresses for servers, and says what to do where that fails.
package tcplisten
