package commandline

import "testing"

func TestNearest(t *testing.T) {
	t.Parallel()
	valid := []string{"topic", "ttl", "order", "rate", "run_limit", "exec"}
	for word, want := range map[string]string{
		"topics": "topic", "TTL": "ttl", "oredr": "order", "runlimit": "run_limit",
		"run-limit": "run_limit", "excc": "exec", "xyz": "", "": "", "t": "", "banana": "",
	} {
		if got := Nearest(word, valid); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}
