// Package mongo TODO
package mongo
