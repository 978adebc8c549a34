package dev.gosset.llm.tokenizer;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import dev.gosset.core.GossetException;
import dev.gosset.core.library.LibraryFiles;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;

/**
 * Loads the native library behind {@link Tokenizer}. DJL by itself would copy it to {@code ~/.djl.ai}, or, where the home
 * cannot be written, to one directory that all users of the machine share, and load what it finds there: so it is told where
 * the library is, unless the user told it (RUST_LIBRARY_PATH, ENGINE_CACHE_DIR, DJL_CACHE_DIR).
 */
final class NativeTokenizers {
    private static boolean loaded;

    private NativeTokenizers() {}

    /**
     * Loads the library if it was not.
     *
     * @throws GossetException with the reason where it cannot be
     */
    static synchronized void load() {
        if (loaded) {
            return;
        }
        // Without the first the library would look for CUDA and, where it finds one, download another build of itself;
        // without the second it would report its use from machines in some clouds.
        setIfAbsent("RUST_FLAVOR", "cpu");
        setIfAbsent("OPT_OUT_TRACKING", "true");
        try {
            if (!isSet("RUST_LIBRARY_PATH") && !isSet("ENGINE_CACHE_DIR") && !isSet("DJL_CACHE_DIR")) {
                copy();
            }
            LibUtils.checkStatus();
            loaded = true;
        } catch (IOException e) {
            throw failure(e.getMessage(), e);
        } catch (RuntimeException | LinkageError e) {
            Throwable reason = e;
            while (reason.getCause() != null) {
                reason = reason.getCause();
            }
            throw failure(
                    reason.getMessage() + "; the variable GOSSET_CACHE names another directory to load it from", e);
        }
    }

    private static GossetException failure(String reason, Throwable cause) {
        return new GossetException("the native library of the tokenizers cannot be loaded: " + reason, cause);
    }

    private static boolean isSet(String name) {
        return System.getenv(name) != null || System.getProperty(name) != null;
    }

    private static void setIfAbsent(String name, String value) {
        if (!isSet(name)) {
            System.setProperty(name, value);
        }
    }

    /** Copies the library of this platform out of the jar; where there is none, DJL says so. */
    private static void copy() throws IOException {
        String os = System.getProperty("os.name").toLowerCase(Locale.ROOT);
        String arch = System.getProperty("os.arch").toLowerCase(Locale.ROOT);
        boolean windows = os.startsWith("windows");
        String platform = (windows ? "win" : os.startsWith("mac") ? "osx" : "linux")
                + (arch.equals("amd64") ? "-x86_64" : "-" + arch);
        String library = System.mapLibraryName("tokenizers");
        List<String> names = windows
                ? List.of("libwinpthread-1.dll", "libgcc_s_seh-1.dll", "libstdc++-6.dll", library)
                : List.of(library);
        Map<String, URL> files = new LinkedHashMap<>();
        ClassLoader jar = LibUtils.class.getClassLoader();
        for (String name : names) {
            URL url = jar.getResource("native/lib/" + platform + "/cpu/" + name);
            if (url == null) {
                return;
            }
            files.put(name, url);
        }
        Properties properties = new Properties();
        try (InputStream in = jar.getResourceAsStream("native/lib/tokenizers.properties")) {
            if (in != null) {
                properties.load(in);
            }
        }
        String version = properties.getProperty("version", "unknown");
        System.setProperty(
                "RUST_LIBRARY_PATH",
                LibraryFiles.extract("tokenizers-" + version + "-" + platform, files)
                        .resolve(library)
                        .toString());
    }

    /** One line on the library, loaded if it was not. */
    static String description() {
        load();
        return "Hugging Face tokenizers, through "
                + LibUtils.class.getPackageName().replace(".jni", "") + ", for " + System.getProperty("os.name") + " "
                + System.getProperty("os.arch");
    }
}
