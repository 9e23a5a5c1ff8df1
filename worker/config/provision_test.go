package config_test

import (
	"testing"

	"github.com/onceish/onceish/worker/config"
)

func streams(lines string) string { return smallest + "provision:\n  streams:\n" + lines }

// provisionMistakes are about what worker provision reads.
func provisionMistakes() map[string][]string {
	const at = " provision.streams[0]."
	return map[string][]string{
		smallest + "provision:\n":                                   nil,
		smallest + "provision: {streams: }\n":                       nil,
		smallest + "provision: {streams: []}\n":                     nil,
		smallest + "provision: {buckets: {}}\n":                     nil,
		streams("    - {name: A, subjects: [order.>, 'dead.*']}\n"): nil,
		streams("    - {}\n"): {
			"7:7:" + at + "name: it is missing: add name: name of the stream",
			"7:7:" + at + "subjects: it is missing: add subjects: topics or patterns that the stream takes: all of them",
		},
		streams("    - {name: A, subjects: []}\n"):                                  {"7:27:" + at + "subjects: there is none: name at least one"},
		streams("    - {name: A.B, subjects: [a]}\n"):                               {`7:14:` + at + `name: "A.B" is not the name of a stream, which has no spaces, dots, '*', '>', '/' or '\'`},
		streams("    - {name: A, subjects: [a..b]}\n"):                              {`7:28:` + at + `subjects[0]: topic "a..b" has an empty token: dots only separate`},
		streams("    - {name: A, subjects: [a]}\n    - {name: A, subjects: [b]}\n"): {`8:14: provision.streams[1].name: "A" is the name of provision.streams[0] too: join them, or choose another name`},
		streams("    - {name: A, subjects: [order.>]}\n    - {name: B, subjects: [b, order.x]}\n"): {
			`8:31: provision.streams[1].subjects[1]: "order.x" overlaps with "order.>" of provision.streams[0]: an event would be stored twice; remove one`,
		},
		streams("    - {name: A, subjects: [a.*, a.b]}\n"):               {`7:33:` + at + `subjects[1]: "a.b" overlaps with "a.*" of provision.streams[0]: an event would be stored twice; remove one`},
		streams("    - {name: A, subjects: [a], max_bytes: 5}\n"):        {`7:43:` + at + `max_bytes: "5" has no unit: write 5B for bytes, or 5KiB, 5MiB, 5GiB`},
		streams("    - {name: A, subjects: [a], max_bytes: 1GB}\n"):      {`7:43:` + at + `max_bytes: "1GB" is no size: write one such as 512KiB, 64MiB or 10GiB`},
		streams("    - {name: A, subjects: [a], max_msg_size: 65MiB}\n"): {`7:46:` + at + `max_msg_size: "65MiB" is not a size from 1B to 64MiB`},
		streams("    - {name: A, subjects: [a], max_msgs: 0}\n"):         {`7:42:` + at + `max_msgs: "0" is not a whole number from 1 on, in decimal digits`},
		streams("    - {name: A, subjects: [a], max_age: 1ms}\n"):        {`7:41:` + at + `max_age: "1ms" is not a duration from 100ms to 3650d`},
		streams("    - {name: A, subjects: [a], storage: flie}\n"):       {`7:41:` + at + `storage: "flie" is none of file or memory: did you mean "file"?`},
		streams("    - {name: A, subjects: [a], replicas: 6}\n"):         {`7:42:` + at + `replicas: "6" is not a whole number from 1 to 5`},
		streams("    - {name: A, subjects: [a], max_age: 1m, duplicate_window: 2m}\n"): {
			"7:63:" + at + "duplicate_window: duplicate_window is 2m, longer than max_age 1m: lower the first or raise the second",
		},
		streams("    - {name: A, subjects: [a], max_age: unlimited, duplicate_window: 2m}\n"): nil,
		streams("    - {name: A, subjects: [dead.>], retention: workqueue}\n"): {
			`7:48:` + at + `retention: the stream takes dead letters, on "dead.billing", and workqueue deletes them as they are read: give them a stream with retention limits`,
		},
		with("start: latest") + "provision:\n  streams:\n    - {name: A, subjects: [order.>], retention: workqueue}\n": {
			`5:12: subscriptions[0].start: "order.placed" is in a work queue, which can only be read from its start: write start: earliest, or give the stream another retention`,
		},
		streams("    - {name: A, subjects: [order.>], max_age: 1m}\n"): {
			`7:47: warning:` + at + `max_age: max_age is 1m, but an event of "order.placed" may be retried after 20m30s: the stream may delete it before`,
		},
	}
}

// What is not given of a stream is nobody's word, and what is given is told from it.
func TestProvisionIsWhatTheFileSays(t *testing.T) {
	t.Parallel()
	file := streams("    - {name: A, subjects: [a], max_age: unlimited, max_bytes: 10GiB, max_msgs: 9, retention: limits}\n"+
		"    - {name: B, subjects: [b, c]}\n") + "  buckets: {members: {replicas: 3, storage: memory}}\n"
	c, problems := config.Parse("w.yaml", []byte(file), env(nil))
	if c == nil {
		t.Fatal(problems)
	}
	a, b := c.Provision.Streams[0], c.Provision.Streams[1]
	if a.MaxAge != config.Unlimited || a.MaxBytes != 10<<30 || a.MaxMessages != 9 || a.Retention != "limits" || a.Storage != "" {
		t.Errorf("%+v", a)
	}
	if b.MaxAge != 0 || b.MaxBytes != 0 || b.Replicas != 0 || b.Retention != "" || len(b.Subjects) != 2 || b.DuplicateWindow != 0 {
		t.Errorf("%+v", b)
	}
	if m := c.Provision.Buckets.Members; m != (config.Bucket{Storage: config.StorageMemory, Replicas: 3}) || c.Provision.Buckets.Marks != (config.Bucket{}) {
		t.Errorf("%+v", c.Provision.Buckets)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"1B": 1, "1023B": 1023, "1KiB": 1024, "10GiB": 10 << 30, "1024MiB": 1 << 30, "1TiB": 1 << 40} {
		if got, err := config.ParseSize(text); err != nil || got != want {
			t.Errorf("%s: %d %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "0B", "01B", "-1B", "1.5GiB", "1 GiB", "1GB", "1gib", "GiB", "9999999999999999TiB", "99999999999999999B"} {
		if got, err := config.ParseSize(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
	for n, want := range map[int64]string{1: "1B", 1536: "1536B", 2048: "2KiB", 10 << 30: "10GiB", 1 << 50: "1024TiB"} {
		if got := config.FormatSize(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"1B", "512KiB", "10GiB", "5", "9007199254740992TiB"} {
		f.Add(s, int64(1))
	}
	f.Fuzz(func(t *testing.T, s string, n int64) {
		if size, err := config.ParseSize(s); err == nil && size < 1 {
			t.Errorf("%q is %d", s, size)
		}
		if n < 1 || n > 1<<50 {
			return
		}
		if again, err := config.ParseSize(config.FormatSize(n)); err != nil || again != n {
			t.Errorf("%d is %s is %d: %v", n, config.FormatSize(n), again, err)
		}
	})
}
