// Package jsonobject reads single members of JSON objects, as encoding/json would and without
// decoding the rest.
package jsonobject
