package consumer

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// Bytes returns the fingerprint of the payload's bytes: SHA-256, cut to 16 bytes.
func Bytes(e bus.Event) []byte { return shortHash(e.Data) }

// CanonicalJSON returns a fingerprint in which the order of members and white space make no
// difference, for producers that encode a payload again when they publish it again. A payload that
// is no JSON is taken as bytes.
func CanonicalJSON(e bus.Event) []byte {
	d := json.NewDecoder(bytes.NewReader(e.Data))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	if _, end := d.Token(); err != nil || !errors.Is(end, io.EOF) {
		return shortHash(e.Data)
	}
	canonical, err := json.Marshal(v) // sorts members
	if err != nil {
		return shortHash(e.Data)
	}
	return shortHash(canonical)
}

// NoFingerprint returns nil: payloads are not compared, and the id is all that counts.
func NoFingerprint(bus.Event) []byte { return nil }

// The names of fingerprints, kept with each hash: hashes under different names are not compared.
const (
	bytesName = "bytes"
	jsonName  = "json"
	userName  = "user"
)

// fingerprintName is the name under which a fingerprint's hashes are kept unless
// Options.FingerprintName is set.
func fingerprintName(fingerprint func(bus.Event) []byte) string {
	switch reflect.ValueOf(fingerprint).Pointer() {
	case reflect.ValueOf(Bytes).Pointer():
		return bytesName
	case reflect.ValueOf(CanonicalJSON).Pointer():
		return jsonName
	}
	return userName
}

func (o *Options) checkFingerprint() error {
	own := fingerprintName(o.Fingerprint)
	switch name := o.FingerprintName; {
	case !dedupe.ValidAlgorithm(name):
		return fmt.Errorf("Options.FingerprintName is %.64q: it must be 1 to 32 lower-case letters, digits, '.', '_' and '-'", name)
	case name != own && (name == bytesName || name == jsonName):
		return fmt.Errorf("Options.FingerprintName is %q, which is the name of another fingerprint: use one of your own", name)
	}
	return nil
}

const shortHashSize = 16

func shortHash(data []byte) []byte {
	h := sha256.Sum256(data)
	return h[:shortHashSize:shortHashSize]
}
