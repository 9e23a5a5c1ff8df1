package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/onceish/onceish/consumer"
)

// Each flag that is tunable is named for a field that there is.
func TestEveryTuningFlagHasItsField(t *testing.T) {
	t.Parallel()
	if fields, flags := len(tunableFlags())+len(flowFlags()), len(TuningFlags()); fields != flags {
		t.Errorf("%d fields are tunable, by %d flags", fields, flags)
	}
	options := reflect.TypeFor[consumer.Options]()
	for flag, tunable := range tunableFlags() {
		at := strings.Split(tunable.field, ".")
		f, ok := options.FieldByName(at[0])
		if ok && len(at) > 1 {
			_, ok = f.Type.FieldByName(at[1])
		}
		if !ok {
			t.Errorf("--%s: there is no Options.%s", flag, tunable.field)
		}
	}
}
