package dev.gosset.server.web;

import dev.gosset.server.http.Exchange;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The page at {@code /} and its parts. They are as they are written, so nothing is built; marked and DOMPurify are the files of their
 * npm packages, unchanged.
 */
public final class WebPage {
    /** What a model writes cannot load or run anything, even if it came into the page as HTML. */
    private static final String POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
            + " img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
            + " require-trusted-types-for 'script'; trusted-types dompurify";

    private static final String SCRIPT = "text/javascript; charset=utf-8";
    private static final Map<String, String> TYPES = Map.of(
            "index.html", "text/html; charset=utf-8",
            "page.css", "text/css; charset=utf-8",
            "icon.svg", "image/svg+xml",
            "page.js", SCRIPT,
            "api.js", SCRIPT,
            "markdown.js", SCRIPT,
            "marked.esm.js", SCRIPT,
            "purify.min.js", SCRIPT);

    private WebPage() {}

    /** What answers at each path. */
    public static Map<String, Exchange.Handler> routes() {
        Map<String, Exchange.Handler> routes = new LinkedHashMap<>();
        TYPES.forEach((name, type) -> {
            byte[] content = read(name);
            routes.put(name.equals("index.html") ? "/" : "/page/" + name, exchange -> {
                exchange.set("Content-Security-Policy", POLICY);
                exchange.set("X-Content-Type-Options", "nosniff");
                exchange.set("Referrer-Policy", "no-referrer");
                exchange.set("Cache-Control", "no-cache");
                exchange.answer(200, type, content);
            });
        });
        return routes;
    }

    private static byte[] read(String name) {
        try (InputStream in = WebPage.class.getResourceAsStream(name)) {
            return in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
