// The conformance driver of nats.go: does what it is told, a line of JSON each (see ../../README.md).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// As long as the busiest machine may need for a call, and to store ten thousand messages.
	callWithin  = 30 * time.Second
	burstWithin = 60 * time.Second
	// Lines carry bodies of some megabytes.
	lineMax = 64 << 20
)

// A request of the suite. Bodies are base64 in JSON, which is how encoding/json reads bytes.
type request struct {
	Op        string            `json:"op"`
	Subject   string            `json:"subject"`
	Headers   map[string]string `json:"headers"`
	Body      []byte            `json:"body"`
	Name      string            `json:"name"`
	Stream    string            `json:"stream"`
	Bucket    string            `json:"bucket"`
	Text      string            `json:"text"`
	Count     int               `json:"count"`
	Max       int               `json:"max"`
	TimeoutMs int64             `json:"timeout_ms"`
}

type message struct {
	Subject string            `json:"subject"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
}

type answer map[string]any

type driver struct {
	nc            *nats.Conn
	js            jetstream.JetStream
	subscriptions map[string]*nats.Subscription
}

func (r request) message(body []byte) *nats.Msg {
	header := nats.Header{}
	for name, value := range r.Headers {
		header.Set(name, value)
	}
	return &nats.Msg{Subject: r.Subject, Header: header, Data: body}
}

func told(subject string, header nats.Header, body []byte) message {
	headers := map[string]string{}
	for name, values := range header {
		headers[name] = values[0]
	}
	return message{subject, headers, append([]byte{}, body...)}
}

func (d *driver) do(r request) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	switch r.Op {
	case "publish":
		ack, err := d.js.PublishMsg(ctx, r.message(r.Body))
		if err != nil {
			return nil, err
		}
		return answer{"ack": answer{"stream": ack.Stream, "seq": ack.Sequence, "duplicate": ack.Duplicate}}, nil
	case "send":
		return answer{}, errors.Join(d.nc.PublishMsg(r.message(r.Body)), d.nc.Flush())
	case "burst":
		return d.burst(r)
	case "request":
		reply, err := d.nc.RequestMsg(r.message(r.Body), time.Duration(r.TimeoutMs)*time.Millisecond)
		if err != nil {
			return nil, err
		}
		return answer{"message": told(reply.Subject, reply.Header, reply.Data)}, nil
	case "subscribe":
		subscription, err := d.nc.SubscribeSync(r.Subject)
		d.subscriptions[r.Name] = subscription
		return answer{}, errors.Join(err, d.nc.Flush())
	case "receive":
		return d.receive(r)
	case "get":
		// A stream made by the fleet allows direct gets, which the client then uses.
		stream, err := d.js.Stream(ctx, r.Stream)
		if err != nil {
			return nil, err
		}
		found, err := stream.GetLastMsgForSubject(ctx, r.Subject)
		if err != nil {
			return nil, err
		}
		return answer{"message": told(found.Subject, found.Header, found.Data)}, nil
	case "put_object":
		store, err := d.js.ObjectStore(ctx, r.Bucket)
		if err != nil {
			return nil, err
		}
		_, err = store.PutBytes(ctx, r.Name, r.Body)
		return answer{}, err
	case "get_object":
		store, err := d.js.ObjectStore(ctx, r.Bucket)
		if err != nil {
			return nil, err
		}
		body, err := store.GetBytes(ctx, r.Name)
		return answer{"body": body}, err
	}
	return nil, fmt.Errorf("there is no operation %q", r.Op)
}

func (d *driver) burst(r request) (answer, error) {
	futures := make([]jetstream.PubAckFuture, 0, r.Count)
	for n := range r.Count {
		body := strings.ReplaceAll(r.Text, "{n}", strconv.Itoa(n))
		future, err := d.js.PublishMsgAsync(r.message([]byte(body)))
		if err != nil {
			return nil, err
		}
		futures = append(futures, future)
	}
	timeout := time.After(burstWithin)
	sequences := make([]uint64, 0, r.Count)
	for _, future := range futures {
		select {
		case ack := <-future.Ok():
			sequences = append(sequences, ack.Sequence)
		case err := <-future.Err():
			return nil, err
		case <-timeout:
			return nil, nats.ErrTimeout
		}
	}
	return answer{"sequences": sequences}, nil
}

func (d *driver) receive(r request) (answer, error) {
	messages := []message{}
	subscription := d.subscriptions[r.Name]
	wait := time.Duration(r.TimeoutMs) * time.Millisecond
	for len(messages) < r.Max {
		next, err := subscription.NextMsg(wait)
		if errors.Is(err, nats.ErrTimeout) {
			break
		}
		if err != nil {
			return nil, err
		}
		messages = append(messages, told(next.Subject, next.Header, next.Data))
		// What is there already comes along, and nothing is waited for.
		wait = time.Nanosecond
	}
	return answer{"messages": messages}, nil
}

func refusal(err error) answer {
	refused := func(kind string, code int) answer {
		return answer{"refused": answer{"kind": kind, "code": code, "message": err.Error()}}
	}
	var api *jetstream.APIError
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return refused("no_responders", 0)
	case errors.Is(err, nats.ErrMaxPayload):
		return refused("too_large", 0)
	case errors.Is(err, jetstream.ErrMsgNotFound), errors.Is(err, jetstream.ErrObjectNotFound):
		return refused("not_found", 0)
	case errors.As(err, &api):
		return refused("api", int(api.ErrorCode))
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return refused("timeout", 0)
	}
	return answer{"error": err.Error()}
}

func main() {
	nc, err := nats.Connect(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(20_000))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	d := &driver{nc, js, map[string]*nats.Subscription{}}
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(answer{"library": "nats.go " + nats.Version})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, lineMax)
	for lines.Scan() {
		var r request
		result, err := answer(nil), json.Unmarshal(lines.Bytes(), &r)
		if err == nil {
			result, err = d.do(r)
		}
		if err != nil {
			result = refusal(err)
		}
		_ = out.Encode(result)
	}
	nc.Close()
}
