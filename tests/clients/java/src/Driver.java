import io.nats.client.Connection;
import io.nats.client.JetStream;
import io.nats.client.JetStreamApiException;
import io.nats.client.JetStreamManagement;
import io.nats.client.JetStreamOptions;
import io.nats.client.Message;
import io.nats.client.Nats;
import io.nats.client.Options;
import io.nats.client.Subscription;
import io.nats.client.api.MessageInfo;
import io.nats.client.api.PublishAck;
import io.nats.client.impl.Headers;
import io.nats.client.impl.NatsMessage;
import io.nats.client.support.JsonParser;
import io.nats.client.support.JsonValue;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** The conformance driver of jnats: does what it is told, a line of JSON each (see ../../README.md). */
public final class Driver {
    /** As long as the busiest machine may need for a call, and to store ten thousand messages. */
    private static final Duration CALL_WITHIN = Duration.ofSeconds(30);
    private static final long BURST_WITHIN_SECONDS = 60;
    private static final int MESSAGE_NOT_FOUND = 10037;

    private final Connection nc;
    private final JetStream js;
    private final JetStreamManagement jsm;
    private final Map<String, Subscription> subscriptions = new HashMap<>();

    private Driver(Connection nc) throws IOException {
        JetStreamOptions options = JetStreamOptions.builder().requestTimeout(CALL_WITHIN).build();
        this.nc = nc;
        this.js = nc.jetStream(options);
        this.jsm = nc.jetStreamManagement(options);
    }

    public static void main(String[] arguments) throws Exception {
        Options options = Options.builder()
                .server(arguments[0])
                .connectionTimeout(CALL_WITHIN)
                // What nobody answers is told from what takes too long.
                .reportNoResponders()
                // Replies that take longer than this are given up, those of asynchronous publishes too.
                .requestCleanupInterval(Duration.ofSeconds(BURST_WITHIN_SECONDS))
                .build();
        try (Connection nc = Nats.connect(options)) {
            Driver driver = new Driver(nc);
            PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
            out.println("{\"library\":" + quoted("jnats " + Nats.CLIENT_VERSION) + "}");
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                out.println(driver.answer(JsonParser.parse(line)));
            }
        }
    }

    private String answer(JsonValue request) {
        try {
            return act(request);
        } catch (Exception error) {
            return refusal(error);
        }
    }

    private String act(JsonValue request) throws Exception {
        switch (text(request, "op")) {
            case "publish":
                return told(js.publish(message(request, body(request))));
            case "send":
                nc.publish(message(request, body(request)));
                nc.flush(CALL_WITHIN);
                return "{}";
            case "burst":
                return burst(request);
            case "request":
                return request(request);
            case "subscribe":
                subscriptions.put(text(request, "name"), nc.subscribe(text(request, "subject")));
                nc.flush(CALL_WITHIN);
                return "{}";
            case "receive":
                return receive(request);
            case "get":
                // A stream made by the fleet allows direct gets, which the client then uses.
                MessageInfo found = jsm.getLastMessage(text(request, "stream"), text(request, "subject"));
                return "{\"message\":" + told(found.getSubject(), found.getHeaders(), found.getData()) + "}";
            case "put_object":
                nc.objectStore(text(request, "bucket")).put(text(request, "name"), new ByteArrayInputStream(body(request)));
                return "{}";
            case "get_object":
                ByteArrayOutputStream object = new ByteArrayOutputStream();
                nc.objectStore(text(request, "bucket")).get(text(request, "name"), object);
                return "{\"body\":" + encoded(object.toByteArray()) + "}";
            default:
                throw new IllegalStateException("there is no operation " + text(request, "op"));
        }
    }

    private String burst(JsonValue request) throws Exception {
        List<CompletableFuture<PublishAck>> futures = new ArrayList<>();
        for (int n = 0; n < number(request, "count"); n++) {
            String body = text(request, "text").replace("{n}", Integer.toString(n));
            futures.add(js.publishAsync(message(request, body.getBytes(StandardCharsets.UTF_8))));
        }
        List<String> sequences = new ArrayList<>();
        for (CompletableFuture<PublishAck> future : futures) {
            sequences.add(Long.toString(future.get(BURST_WITHIN_SECONDS, TimeUnit.SECONDS).getSeqno()));
        }
        return "{\"sequences\":[" + String.join(",", sequences) + "]}";
    }

    private String request(JsonValue request) throws Exception {
        Message reply = nc.request(message(request, body(request))).get(number(request, "timeout_ms"), TimeUnit.MILLISECONDS);
        return "{\"message\":" + told(reply.getSubject(), reply.getHeaders(), reply.getData()) + "}";
    }

    private String receive(JsonValue request) throws Exception {
        Subscription subscription = subscriptions.get(text(request, "name"));
        List<String> messages = new ArrayList<>();
        Message next = subscription.nextMessage(Duration.ofMillis(number(request, "timeout_ms")));
        while (next != null) {
            messages.add(told(next.getSubject(), next.getHeaders(), next.getData()));
            // What is there already comes along, and nothing is waited for.
            boolean goesOn = messages.size() < number(request, "max") && subscription.getPendingMessageCount() > 0;
            next = goesOn ? subscription.nextMessage(Duration.ofMillis(1)) : null;
        }
        return "{\"messages\":[" + String.join(",", messages) + "]}";
    }

    private static String refusal(Exception error) {
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            String message = String.valueOf(cause.getMessage());
            if (cause instanceof JetStreamApiException api) {
                int code = api.getApiErrorCode();
                return refused(code == MESSAGE_NOT_FOUND ? "not_found" : "api", code, message);
            }
            if (message.contains("No Responders")) {
                return refused("no_responders", 0, message);
            }
            if (cause instanceof TimeoutException || cause instanceof CancellationException) {
                return refused("timeout", 0, message);
            }
            if (cause instanceof IllegalArgumentException && message.contains("exceed server configuration")) {
                return refused("too_large", 0, message);
            }
        }
        Throwable shown = error instanceof ExecutionException ? error.getCause() : error;
        return "{\"error\":" + quoted(shown.toString()) + "}";
    }

    private static String refused(String kind, int code, String message) {
        return "{\"refused\":{\"kind\":" + quoted(kind) + ",\"code\":" + code + ",\"message\":" + quoted(message) + "}}";
    }

    private static String told(PublishAck ack) {
        return "{\"ack\":{\"stream\":" + quoted(ack.getStream()) + ",\"seq\":" + ack.getSeqno() + ",\"duplicate\":" + ack.isDuplicate() + "}}";
    }

    private static String told(String subject, Headers headers, byte[] body) {
        List<String> all = new ArrayList<>();
        if (headers != null) {
            headers.forEach((name, values) -> all.add(quoted(name) + ":" + quoted(values.get(0))));
        }
        byte[] present = body == null ? new byte[0] : body;
        return "{\"subject\":" + quoted(subject) + ",\"headers\":{" + String.join(",", all) + "},\"body\":" + encoded(present) + "}";
    }

    private static Message message(JsonValue request, byte[] body) {
        Headers headers = new Headers();
        JsonValue given = request.map.get("headers");
        if (given != null) {
            given.map.forEach((name, value) -> headers.add(name, value.string));
        }
        return NatsMessage.builder().subject(text(request, "subject")).headers(headers).data(body).build();
    }

    private static byte[] body(JsonValue request) {
        JsonValue body = request.map.get("body");
        return body == null ? new byte[0] : Base64.getDecoder().decode(body.string);
    }

    private static String text(JsonValue request, String key) {
        return request.map.get(key).string;
    }

    private static long number(JsonValue request, String key) {
        return request.map.get(key).number.longValue();
    }

    private static String encoded(byte[] bytes) {
        return quoted(Base64.getEncoder().encodeToString(bytes));
    }

    private static String quoted(String text) {
        StringBuilder json = new StringBuilder("\"");
        for (char sign : text.toCharArray()) {
            if (sign == '"' || sign == '\\') {
                json.append('\\').append(sign);
            } else if (sign < ' ') {
                json.append(String.format("\\u%04x", (int) sign));
            } else {
                json.append(sign);
            }
        }
        return json.append('"').toString();
    }
}
