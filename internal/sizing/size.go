package sizing

import (
	"fmt"
	"math"
)

// Size is how much is kept. Bytes are those of one server; each replica has as many.
type Size struct {
	// Keys is how many marks, rows or letters there are.
	Keys float64
	// Data is what is stored: documents as BSON, messages with their subjects and headers. Disk is
	// what that takes on disk, without Index, which is what indexes take there. Memory is what the
	// server, or the process that has the store, needs for them.
	Data, Disk, Index, Memory float64
}

// each is the bytes of one key: so many, and so many for each byte of its name.
type each struct{ fixed, perByte float64 }

func (e each) of(length int) float64 { return e.fixed + e.perByte*float64(length) }

// footprint is what one key takes.
type footprint struct{ data, disk, index, memory each }

func (f *footprint) times(keys float64, length int) Size {
	return Size{
		Keys: keys, Data: keys * f.data.of(length), Disk: keys * f.disk.of(length), Index: keys * f.index.of(length), Memory: keys * f.memory.of(length),
	}
}

// Bytes is a number of bytes as people read it: 1.5 GiB.
func Bytes(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	unit := 0
	for n >= 1024 && unit < len(units)-1 {
		n /= 1024
		unit++
	}
	if n < 10 && unit > 0 {
		return fmt.Sprintf("%.1f %s", n, units[unit])
	}
	return fmt.Sprintf("%.0f %s", n, units[unit])
}

// Count is a number with its thousands separated.
func Count(n float64) string {
	digits := fmt.Sprintf("%.0f", math.Max(0, n))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
