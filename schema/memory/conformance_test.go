package memory_test

import (
	"testing"

	"github.com/onceish/onceish/schema"
	memschema "github.com/onceish/onceish/schema/memory"
	"github.com/onceish/onceish/schema/schematest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	schematest.Run(t, schematest.Harness{New: func(*testing.T) schema.Store { return memschema.New() }})
}
