package lakehouse;

import io.delta.storage.HadoopFileSystemLogStore;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Iterator;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Delta's log on S3 (s3a) and on folders (file), for several drivers beside each other and beside lakehouse's own
 * committer: a version is written once, by one of them, and the others are told. Delta's own stores keep other drivers
 * out by a lock in one JVM (S3), or look and then rename (folders).
 *
 * <p>Compiled by `python -c "from lakehouse.engines.spark import jvm; jvm.build_log_store()"`.
 */
public final class ConditionalLogStore extends HadoopFileSystemLogStore {
    /** Set around a commit of lakehouse's: the version that it was computed upon. Delta would go on behind another's. */
    private static final String BASE = "lakehouse.base";
    private static final String WRITE_ID = "lakehouse-write";
    /** Of one file, where the store does not answer; each has the retries of Hadoop's connector in it. */
    private static final int ATTEMPTS = 4;
    /** Nanoseconds after which none begins. */
    private static final long LIMIT = TimeUnit.MINUTES.toNanos(2);

    public ConditionalLogStore(Configuration conf) {
        super(conf);
    }

    @Override
    public void write(Path path, Iterator<String> actions, Boolean overwrite, Configuration conf) throws IOException {
        check(path.getName(), conf.get(BASE));
        byte[] content = whole(actions);
        FileSystem fs = path.getFileSystem(conf);
        if (isFolder(fs)) {
            link(path, content, overwrite);
        } else if (overwrite) {
            put(fs.create(path, true), content);
        } else {
            putIfAbsent(fs, path, content);
        }
    }

    /** An object is there whole or not at all. Of a folder Delta must think worse: it writes checkpoints there itself. */
    @Override
    public Boolean isPartialWriteVisible(Path path, Configuration conf) throws IOException {
        return isFolder(path.getFileSystem(conf));
    }

    private static boolean isFolder(FileSystem fs) {
        return "file".equals(fs.getUri().getScheme());
    }

    private static void check(String name, String base) throws IOException {
        if (base != null && name.matches("\\d{20}\\.json")
                && Long.parseLong(name.substring(0, 20)) != Long.parseLong(base) + 1) {
            throw new IOException("Another writer made the version after " + base + ": " + name + " is not written.");
        }
    }

    /** The actions can be read once, and each attempt needs them. */
    private static byte[] whole(Iterator<String> actions) throws IOException {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        while (actions.hasNext()) {
            content.write((actions.next() + "\n").getBytes(StandardCharsets.UTF_8));
        }
        return content.toByteArray();
    }

    /**
     * S3 takes the object only where none is. After a refusal, and without an answer, the id in its metadata tells whose
     * it is: a request that is sent again meets the object that it made itself the first time.
     */
    private static void putIfAbsent(FileSystem fs, Path path, byte[] content) throws IOException {
        String ours = UUID.randomUUID().toString();
        long begun = System.nanoTime();
        IOException why = null;
        for (int attempt = 0; attempt < ATTEMPTS && System.nanoTime() - begun < LIMIT; attempt++) {
            pause(attempt * 200L);
            try {
                FSDataOutputStreamBuilder<?, ?> object = fs.createFile(path);
                object.recursive();
                object.must("fs.option.create.conditional.overwrite", true);
                object.must("fs.s3a.create.header." + WRITE_ID, ours);
                put(object.build(), content);
                return;
            } catch (AccessDeniedException refused) {
                throw refused;
            } catch (IOException unclear) {
                why = unclear;
            }
            String found = writtenBy(fs, path);
            if (ours.equals(found)) {
                return;
            }
            if (found != null) {
                throw new FileAlreadyExistsException(path.toString());
            }
        }
        throw new IOException("The store did not say whether " + path + " was written. Start again once it answers.", why);
    }

    /** The id of the write that made the object, "" for one without; null where none is, or the store does not answer. */
    private static String writtenBy(FileSystem fs, Path path) {
        try {
            byte[] id = fs.getXAttr(path, "header." + WRITE_ID);
            return id == null ? "" : new String(id, StandardCharsets.UTF_8);
        } catch (IOException notThere) {
            return null;
        }
    }

    /** A stream that broke must not be closed: closing it would publish what it holds. */
    private static void put(FSDataOutputStream stream, byte[] content) throws IOException {
        try {
            stream.write(content);
        } catch (IOException | RuntimeException broken) {
            stream.abort();
            throw broken;
        }
        stream.close();
    }

    /** The name appears with the whole file or not at all, and never over another file. */
    private static void link(Path path, byte[] content, boolean overwrite) throws IOException {
        java.nio.file.Path file = Paths.get(path.toUri().getPath());
        java.nio.file.Path begun = file.resolveSibling("." + UUID.randomUUID() + ".tmp");
        try {
            try (FileChannel channel =
                    FileChannel.open(begun, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
                ByteBuffer left = ByteBuffer.wrap(content);
                while (left.hasRemaining()) {
                    channel.write(left);
                }
                channel.force(true);
            }
            // Hadoop's checksum of what stood here before, which it would hold against the new content.
            Files.deleteIfExists(file.resolveSibling("." + file.getFileName() + ".crc"));
            if (overwrite) {
                Files.move(begun, file, StandardCopyOption.ATOMIC_MOVE);
            } else {
                Files.createLink(file, begun);
            }
        } finally {
            Files.deleteIfExists(begun);
        }
        try (FileChannel folder = FileChannel.open(file.getParent(), StandardOpenOption.READ)) {
            folder.force(true);
        }
    }

    private static void pause(long milliseconds) throws IOException {
        try {
            Thread.sleep(milliseconds);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("stopped while the store did not answer");
        }
    }
}
