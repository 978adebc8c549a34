/** The commands, and the bundled demo model. */
module dev.gosset.cli {
    requires dev.gosset.llm;
    requires dev.gosset.server;
    requires static jdk.incubator.vector;
    requires info.picocli;
    requires me.tongfei.progressbar;
    requires jdk.management;
    requires org.knowm.xchart;
    // What XChart draws with; it has no descriptor that says so.
    requires java.desktop;

    exports dev.gosset.cli.demo;

    opens dev.gosset.cli to
            info.picocli,
            com.fasterxml.jackson.databind;
}
