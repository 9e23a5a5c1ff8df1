package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Where nobody watches, a line is written every ten seconds, with the rate and what is left.
func TestProgressOfATransferIsALineEveryTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p := newTransferProgress(&out, false, "replayed")
		for i := range 25 {
			p.show(100*(i+1), uint64(1000+200*i), 10_000)
			time.Sleep(time.Second)
		}
		p.finish()
		const want = "replayed 1100 events, 100 a second, about 35s left\nreplayed 2100 events, 100 a second, about 25s left\n"
		if out.String() != want {
			t.Errorf("%q; want %q", out.String(), want)
		}
	})
}

func TestProgressOfATransferWithoutAnEndHasNoRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out, quiet strings.Builder
		p, q := newTransferProgress(&out, false, "exported"), newTransferProgress(&quiet, true, "exported")
		for i := range 11 {
			p.show(10*i, uint64(i+1), 0)
			q.show(10*i, uint64(i+1), 0)
			time.Sleep(2 * time.Second)
		}
		if want := "exported 50 events, 5 a second\nexported 100 events, 5 a second\n"; out.String() != want || quiet.Len() > 0 {
			t.Errorf("%q, and quiet %q; want %q, and nothing", out.String(), quiet.String(), want)
		}
	})
}
