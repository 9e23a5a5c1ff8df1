package bus_test

import (
	"reflect"
	"testing"

	"github.com/onceish/onceish/bus"
)

func TestHeadersGetIgnoresCaseAndPrefersTheExactSpelling(t *testing.T) {
	t.Parallel()
	h := bus.Headers{"Key": {"1", "2"}, "key": {"3"}, "none": {}, "Other": {"4"}}
	for name, want := range map[string]string{"Key": "1", "key": "3", "OTHER": "4", "none": "", "absent": ""} {
		if got := h.Get(name); got != want {
			t.Errorf("Get(%q) = %q; want %q", name, got, want)
		}
	}
	if got := bus.Headers(nil).Get("key"); got != "" {
		t.Errorf("Get of nil headers = %q", got)
	}
}

func TestHeadersSetReplacesOneSpelling(t *testing.T) {
	t.Parallel()
	h := bus.Headers{"Key": {"1", "2"}, "key": {"3"}}
	h.Set("Key", "4")
	if want := (bus.Headers{"Key": {"4"}, "key": {"3"}}); !reflect.DeepEqual(h, want) {
		t.Errorf("%v; want %v", h, want)
	}
}

func TestHeadersCloneSharesNothing(t *testing.T) {
	t.Parallel()
	h := bus.Headers{"Key": {"1", "2"}}
	c := h.Clone()
	c["Key"][0] = "changed"
	c.Set("new", "1")
	if want := (bus.Headers{"Key": {"1", "2"}}); !reflect.DeepEqual(h, want) {
		t.Errorf("%v after its clone was changed; want %v", h, want)
	}
	if bus.Headers(nil).Clone() == nil {
		t.Error("the clone of nil headers is nil, and cannot be set")
	}
}
