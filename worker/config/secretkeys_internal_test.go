package config

import (
	"regexp"
	"slices"
	"testing"
)

// soundsSecret are names of keys that likely hold secrets.
var soundsSecret = regexp.MustCompile(`token|secret|pass|credential|key|ur[il]|header|sign|cookie|auth|env`)

// harmless are keys that only sound so.
func harmless() []string {
	return []string{
		"nats.envelopes", "subscriptions[].handler.http.pass_headers", // names of headers
		"subscriptions[].handler.http.signing", // its keys are secret
		"subscriptions[].rate.max_keys",        // a number
		"provision.streams[].by_key",           // a topic
		"subscriptions[].defer.max_keys",
		"subscriptions[].handler.project.key", "subscriptions[].defer.handler.project.key", // a field
		"subscriptions[].defer.handler.http.pass_headers", "subscriptions[].defer.handler.http.signing",
	}
}

// A key that sounds like a secret is marked as one, or known to be harmless.
func TestKeysThatSoundSecretAreMarked(t *testing.T) {
	t.Parallel()
	marked, left := 0, harmless()
	var walk func(at string, infos []*fieldInfo)
	walk = func(at string, infos []*fieldInfo) {
		for _, f := range infos {
			path := joinPath(at, f.name)
			switch i := slices.Index(left, path); {
			case f.secret || f.secretFile:
				marked++
			case i >= 0:
				left = slices.Delete(left, i, i+1)
			case soundsSecret.MatchString(f.name):
				t.Errorf("%s: call markSecret or markSecretFile, or list it as harmless", path)
			}
			if f.list {
				path += "[]"
			}
			walk(path, f.children)
		}
	}
	walk("", configFields().fieldInfos())
	if keys := SecretKeys(); len(keys) != marked || marked < 10 || len(left) > 0 {
		t.Errorf("%d keys are marked, SecretKeys has %v, and there are no %q", marked, keys, left)
	}
}
