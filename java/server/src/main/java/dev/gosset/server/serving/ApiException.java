package dev.gosset.server.serving;

import dev.gosset.core.GossetException;

/** What a client is told instead of an answer. */
public final class ApiException extends GossetException {
    private static final long serialVersionUID = 1L;

    private final int status;
    private final String type;
    private final String field;
    private final String code;
    private final int retrySeconds;

    private ApiException(int status, String type, String field, String code, int retrySeconds, String message) {
        super(message);
        this.status = status;
        this.type = type;
        this.field = field;
        this.code = code;
        this.retrySeconds = retrySeconds;
    }

    /** A request that cannot be answered as it is. */
    public static ApiException invalid(String field, String message) {
        return invalid(field, null, message);
    }

    /** The same with a code that programs know. */
    public static ApiException invalid(String field, String code, String message) {
        return new ApiException(400, "invalid_request_error", field, code, 0, message);
    }

    /** A request that is refused for another reason than its fields. */
    public static ApiException refused(int status, String code, String message) {
        return new ApiException(status, "invalid_request_error", null, code, 0, message);
    }

    /** What may go better later. */
    public static ApiException later(int status, String code, int seconds, String message) {
        return new ApiException(
                status, status == 429 ? "rate_limit_error" : "server_error", null, code, seconds, message);
    }

    /** A failure of ours. */
    public static ApiException failed(String message) {
        return new ApiException(500, "server_error", null, null, 0, message);
    }

    public int status() {
        return status;
    }

    public String type() {
        return type;
    }

    /** The field of the request that is to blame, or null. */
    public String field() {
        return field;
    }

    /** What programs tell it by, or null. */
    public String code() {
        return code;
    }

    /** After how many seconds to try again; 0 where that makes no sense. */
    public int retrySeconds() {
        return retrySeconds;
    }
}
