-- A range that was written twice, by a lake of another layout, counts once. Only run where there are such rows.

DELETE FROM ads WHERE rowid NOT IN (SELECT min(rowid) FROM ads GROUP BY position);
DELETE FROM reports WHERE rowid NOT IN (SELECT min(rowid) FROM reports GROUP BY position);
