package systemd

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// pingsPerTimeout is how many times the watchdog is pinged in the time after which it bites, so
// that a busy machine may delay one ping and lose another.
const pingsPerTimeout = 3

// Manager is the service manager of this process. Its methods are not safe for concurrent use.
type Manager struct {
	watchdog time.Duration // zero: there is none
	send     func(message string) error
	log      *slog.Logger
}

// FromEnvironment returns the manager that NOTIFY_SOCKET names, or nil if there is none. A nil
// logger is slog.Default(). WATCHDOG_USEC and WATCHDOG_PID say whether it has a watchdog for this
// process; values that are no numbers are an error.
func FromEnvironment(log *slog.Logger) (*Manager, error) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil, nil //nolint:nilnil // without a manager nobody is told
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return nil, fmt.Errorf("the watchdog of the service manager: %w: unset WATCHDOG_USEC and WATCHDOG_PID, or let the manager set them", err)
	}
	if log == nil {
		log = slog.Default()
	}
	send := func(message string) error { return sendMessage(socket, message) }
	return &Manager{watchdog: watchdog, send: send, log: log}, nil
}

// sendTimeout bounds a message to a manager that does not read: a worker must not wait for it to
// drain.
const sendTimeout = time.Second

func sendMessage(socket, message string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // a datagram is sent or not
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
}

// Follow sends READY=1 at once, and STOPPING=1 when stop is closed. It pings the watchdog, three
// times in its time-out, until ended is closed after stop, and returns. Until stop is closed it
// does not while stalled returns an error: the manager then restarts the process. stalled may block
// where the process hangs, which stops the pings as well. How long stopping may take is another
// time-out of the manager's. Messages that cannot be sent, or not within a second, are logged.
func (m *Manager) Follow(stop, ended <-chan struct{}, stalled func() error) {
	m.tell(daemon.SdNotifyReady)
	m.pingUntil(stop, stalled)
	m.tell(daemon.SdNotifyStopping)
	m.pingUntil(ended, func() error { return nil })
}

// pingUntil pings the watchdog, if there is one, until end is closed.
func (m *Manager) pingUntil(end <-chan struct{}, stalled func() error) {
	if m.watchdog == 0 {
		<-end
		return
	}
	ticker := time.NewTicker(max(m.watchdog/pingsPerTimeout, time.Microsecond))
	defer ticker.Stop()
	progress := true
	for {
		err := stalled()
		switch {
		case err == nil:
			m.tell(daemon.SdNotifyWatchdog)
		case progress:
			m.log.Error("no progress; the service manager is to restart this process", "error", err, "watchdog", m.watchdog)
		}
		progress = err == nil
		select {
		case <-ticker.C:
		case <-end:
			return
		}
	}
}

func (m *Manager) tell(message string) {
	if err := m.send(message); err != nil {
		m.log.Warn("the service manager was not told how this process is; it may restart it", "message", message, "error", err)
	}
}
