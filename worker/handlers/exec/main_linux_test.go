package exec

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain makes this program its own guard, and commands of mode stream.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case "guard":
			if err := KeepGuard(os.Stdin, os.Stderr); err != nil {
				panic(err)
			}
			return
		case "obedient":
			obey(os.Stdin)
			return
		case "fast":
			agree(os.Stdin)
			return
		}
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // for the guards and commands
	goleak.VerifyTestMain(m)
}

// order is the data of an event for the obedient command.
type order struct {
	Do   string `json:"do"`
	Text string `json:"text,omitempty"`
}

// told is a line, as a command reads it.
type told struct {
	Delivery   uint64          `json:"delivery"`
	ID         string          `json:"id"`
	Data       json.RawMessage `json:"data"`
	DataBase64 []byte          `json:"data_base64"`
	Batch      *struct {
		Index, Size int
	} `json:"batch"`
}

// obey does what the events say. It tells on its standard error what it has read.
func obey(r io.Reader) {
	var waiting []told
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			fmt.Fprintln(os.Stderr, "end of input")
			return
		}
		var e told
		if err := json.Unmarshal(line, &e); err != nil {
			panic(err)
		}
		fmt.Fprintln(os.Stderr, "read", e.ID)
		if e.Batch != nil {
			fmt.Fprintln(os.Stderr, "batch", e.Batch.Index, "of", e.Batch.Size)
		}
		var o order
		_ = json.Unmarshal(e.Data, &o) // or it is other data
		switch o.Do {
		case "wait":
			waiting = append(waiting, e)
		case "release":
			say(e.Delivery, "done", "")
			for _, w := range waiting {
				say(w.Delivery, "done", "")
			}
			waiting = nil
		case "linger":
			time.AfterFunc(5*time.Millisecond, func() { say(e.Delivery, "done", "") })
		case "die":
			fmt.Fprintln(os.Stderr, "poisoned")
			os.Exit(3)
		case "pid":
			say(e.Delivery, "retry", fmt.Sprint(os.Getpid()))
		case "sum":
			sum := sha256.Sum256(append(e.DataBase64, []byte(o.Text)...))
			say(e.Delivery, "retry", hex.EncodeToString(sum[:]))
		case "print":
			fmt.Println(strings.ReplaceAll(o.Text, "N", fmt.Sprint(e.Delivery)))
		case "flood":
			flood := append(bytes.Repeat([]byte("x"), 1<<20-1), '\n')
			for range 100 {
				_, _ = os.Stderr.Write(flood)
			}
			say(e.Delivery, "done", "")
		default:
			say(e.Delivery, "done", "")
		}
	}
}

func say(delivery uint64, status, reason string) {
	fmt.Printf("{\"delivery\":%d,\"status\":%q,\"reason\":%q}\n", delivery, status, reason)
}

// agree answers done to everything, as fast as it can.
func agree(r io.Reader) {
	in, out := bufio.NewReaderSize(r, 1<<16), bufio.NewWriter(os.Stdout)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		number, _, _ := bytes.Cut(bytes.TrimPrefix(line, []byte(`{"delivery":`)), []byte(","))
		_, _ = fmt.Fprintf(out, "{\"delivery\":%s,\"status\":\"done\"}\n", number)
		if in.Buffered() == 0 {
			_ = out.Flush()
		}
	}
}
