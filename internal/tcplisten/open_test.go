package tcplisten

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestAddressThatCannotBeOpenedSaysWhatToDo: what, where, and what to try.
func TestAddressThatCannotBeOpenedSaysWhatToDo(t *testing.T) {
	t.Parallel()
	taken, err := Open(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for address, advice := range map[string]string{
		taken.Addr().String(): "choose another port",
		"192.0.2.1:0":         "choose one of its own", // of the addresses for documentation
	} {
		l, err := Open(t.Context(), address)
		if err == nil {
			_ = l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), advice) || !strings.Contains(err.Error(), strings.TrimSuffix(address, ":0")) {
			t.Errorf("%s: %v, want %q", address, err, advice)
		}
	}
}
