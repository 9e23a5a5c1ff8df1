package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/onceish/onceish/consumer"
)

// Each flag that is tunable is named for its field.
func TestEveryTuningFlagHasItsField(t *testing.T) {
	t.Parallel()
	flags := slices.Collect(maps.Values(flagsByField()))
	for _, f := range TuningFlags() {
		if !slices.Contains(flags, "--"+f.Names()[0]) {
			t.Errorf("no field of --%s", f.Names()[0])
		}
	}
	options := reflect.TypeFor[consumer.Options]()
	for field := range flagsByField() {
		at := strings.Split(field, ".")[1:]
		f, ok := options.FieldByName(at[0])
		if ok && len(at) > 1 {
			_, ok = f.Type.FieldByName(at[1])
		}
		if !ok {
			t.Errorf("there is no %s", field)
		}
	}
}
